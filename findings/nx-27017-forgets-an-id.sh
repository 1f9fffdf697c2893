#!/bin/sh
# nx-27017 0.8.1 (neosqlite 1.17.2): an upsert that names its _id stores the document under another one, so that the same upsert
# again adds a second document; and a date is of the type "object" in an aggregation.
# Seen: 2 documents with an ObjectId instead of {"_id": "a"}; [{"_id": "object"}] instead of [{"_id": "date"}].
set -eu
folder=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check nx-27017==0.8.1 neosqlite==1.17.2 pymongo==4.20.1
port=$(env/bin/python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
env/bin/nx-27017 --db memory --port "$port" --log-file log --pid-file pid > out 2>&1 &
server=$!
PORT=$port env/bin/python - <<'PYTHON'
import os
from datetime import datetime

from bson import ObjectId
from pymongo import MongoClient

collection = MongoClient(f"mongodb://127.0.0.1:{os.environ['PORT']}", serverSelectionTimeoutMS=30_000)["d"]["c"]
for done in (3, 5):
    collection.replace_one({"_id": "a"}, {"done": done, "at": datetime(2020, 1, 31)}, upsert=True)
found = list(collection.find())
types = [{"_id": one["_id"]} for one in collection.aggregate([{"$group": {"_id": {"$type": "$at"}}}])]
print(found, types)
assert len(found) == 2 and all(isinstance(one["_id"], ObjectId) for one in found)
assert types == [{"_id": "object"}]
PYTHON
echo "as described"
