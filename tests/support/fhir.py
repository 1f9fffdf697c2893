"""Made-up folders of FHIR resources, as bulk exports write them."""

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.support import omop

SNOMED, LOINC, RXNORM, UCUM = (
    "http://snomed.info/sct",
    "http://loinc.org",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
    "http://unitsofmeasure.org",
)
CODES = {
    omop.DIABETES: f"{SNOMED}|73211009",
    omop.TYPE_1: f"{SNOMED}|46635009",
    omop.TYPE_2: f"{SNOMED}|44054006",
    omop.WITH_KETOACIDOSIS: f"{SNOMED}|421750000",
    omop.ESSENTIAL_HYPERTENSION: f"{SNOMED}|59621000",
    omop.INFARCTION: f"{SNOMED}|22298006",
    omop.ACUTE_INFARCTION: f"{SNOMED}|57054005",
    omop.HEART_FAILURE: f"{SNOMED}|84114007",
    omop.HBA1C: f"{LOINC}|4548-4",
}
_SEXES = {omop.MALE: "male", omop.FEMALE: "female"}
_MARKS = {omop.BELOW: "<", omop.AT_MOST: "<=", omop.AT_LEAST: ">=", omop.ABOVE: ">"}

Resource = dict[str, Any]


def patient(name: str = "p1", **more: Any) -> Resource:
    return {"resourceType": "Patient", "id": name, "gender": "female", "birthDate": "1960-05-20", **more}


def condition(code: str, day: str | None, about: str = "p1", name: str | None = None, **more: Any) -> Resource:
    return {
        "resourceType": "Condition",
        "id": name or f"c-{about}-{code.partition('|')[2]}-{day}",
        "subject": {"reference": f"Patient/{about}"},
        "code": concept(code),
        **({"onsetDateTime": day} if day else {}),
        **more,
    }


def observation(
    code: str,
    day: str | None,
    value: float | None,
    unit: str = "%",
    about: str = "p1",
    name: str | None = None,
    **more: Any,
) -> Resource:
    found = {
        "resourceType": "Observation",
        "id": name or f"o-{about}-{day}-{value}",
        "status": "final",
        "subject": {"reference": f"Patient/{about}"},
        "code": concept(code),
        **({"effectiveDateTime": day} if day else {}),
    }
    if value is not None:
        found["valueQuantity"] = {"value": value, "system": UCUM, "code": unit}
    return {**found, **more}


def concept(*codes: str) -> Resource:
    pairs = [one.split("|") for one in codes]
    return {"coding": [{"system": system, "code": code} for system, code in pairs]}


def write(folder: Path, resources: Iterable[Resource], *, packed: bool = False) -> Path:
    """Write resources to a folder, a file for each type."""
    folder.mkdir(exist_ok=True)
    texts: dict[str, list[str]] = {}
    for one in resources:
        texts.setdefault(one["resourceType"], []).append(json.dumps(one, ensure_ascii=False))
    for kind, lines in texts.items():
        data = ("\n".join(lines) + "\n").encode()
        if packed:
            (folder / f"{kind}.000.ndjson.gz").write_bytes(gzip.compress(data))
        else:
            (folder / f"{kind}.ndjson").write_bytes(data)
    return folder


def of_omop(rows: omop.Rows) -> Iterator[Resource]:
    """Yield the persons, conditions and measurements of an OMOP database as resources."""
    deaths = {row["person_id"]: row["death_date"] for row in rows["death"]}
    for row in rows["person"]:
        number, month, day = row["person_id"], row["month_of_birth"], row["day_of_birth"]
        born = f"{row['year_of_birth']:04d}"
        if month:
            born += f"-{month:02d}" + (f"-{day:02d}" if day else "")
        died = {"deceasedDateTime": f"{deaths[number]}T23:30:00+01:00"} if number in deaths else {}
        yield patient(f"p{number}", gender=_SEXES[row["gender_concept_id"]], birthDate=born, **died)
    for place, row in enumerate(rows["condition_occurrence"]):
        yield condition(
            CODES[row["condition_concept_id"]], row["condition_start_date"], f"p{row['person_id']}", name=f"c{place}"
        )
    for place, row in enumerate(rows["measurement"]):
        found = observation(
            CODES[row["measurement_concept_id"]],
            row["measurement_date"],
            row["value_as_number"],
            omop.UNITS.get(row["unit_concept_id"], ""),
            f"p{row['person_id']}",
            name=f"o{place}",
        )
        if row["operator_concept_id"] in _MARKS:
            found["valueQuantity"]["comparator"] = _MARKS[row["operator_concept_id"]]
        yield found
