"""One row a person from a database of clinical records, as a cohort file asks for it.

    cohort.toml -> language                       what is asked, in a hospital's words
    OMOP database -> omop -> relations            persons, periods, deaths and records, whatever they come from
    FHIR folder -> fhir -> a private database -> relations
    language + relations -> statements            SQL: who is left out at which step, which units, the rows
    statements -> source                          a table like that of any other source

The language and the statements are the same for both, so one cohort file means the same at both kinds of sites.
"""
