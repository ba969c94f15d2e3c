"""Reads a portal through fast_bitrix24, a client that we did not write.

    python fidelity.py WEBHOOK TRUTH.json

TRUTH.json: {"ids": [...], "few": [...], "records": {id: {name: text}}, "companies": [...], "field_names": [...]}.
"""

import json
import sys
import warnings

from fast_bitrix24 import Bitrix

warnings.simplefilter("ignore")
webhook, truth_path = sys.argv[1:]
with open(truth_path, encoding="utf-8") as file:
    truth = json.load(file)

portal = Bitrix(webhook, verbose=False)


def check(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {str(found)[:400]} instead of {str(wanted)[:400]}")


def compare(what, rows):
    for record_id, wanted in truth["records"].items():
        row = rows[record_id]
        check(f"{what} {record_id}", {name: row[name] for name in wanted}, wanted)


# get_all: a first page, then batches of pages by offset.
deals = portal.get_all("crm.deal.list", {"select": ["*", "UF_*"]})
check("get_all", sorted(int(deal["ID"]) for deal in deals), truth["ids"])
compare("get_all", {deal["ID"]: deal for deal in deals})
check("columns", sorted(set().union(*deals)), truth["field_names"])

# The item dialect, whose rows are wrapped.
items = portal.get_all("crm.item.list", {"entityTypeId": 2, "select": ["id", "title"]})
check("get_all items", sorted(item["id"] for item in items), truth["ids"])

# A filter that ends up in the query strings of batch commands.
filtered = portal.get_all("crm.deal.list", {"select": ["ID"], "filter": {">ID": truth["ids"][9], "!ID": truth["ids"][12]}})
check("filter", sorted(int(deal["ID"]) for deal in filtered), truth["ids"][10:12] + truth["ids"][13:])

# list_and_get: ids first, then a `get` for each in batches keyed by the id.
listed = portal.list_and_get("crm.company")
check("list_and_get", sorted(int(key) for key in listed), truth["companies"])
check("list_and_get ids", sorted(int(row["ID"]) for row in listed.values()), truth["companies"])

# get_by_ID and call_batch.
got = portal.get_by_ID("crm.deal.get", [int(key) for key in truth["records"]])
compare("get_by_ID", got)
few = truth["few"]
batch = portal.call_batch({
    "halt": 1,
    "cmd": {
        "first": f"crm.deal.get?id={few[0]}",
        "chained": "crm.deal.list?filter[ID]=$result[first][ID]&select[]=ID&select[]=TITLE",
        "none": "crm.deal.list?filter[ID]=-5&start=-1",
    },
})
check("call_batch", batch["first"]["ID"], str(few[0]))
check("call_batch chained", batch["chained"], [{"ID": str(few[0]), "TITLE": batch["first"]["TITLE"]}])
check("call_batch none", batch["none"], [])

# A call with parameters beyond ASCII, and the metadata.
found = portal.get_all("crm.deal.list", {"filter": {"%TITLE": "№"}, "select": ["ID", "TITLE"]})
check("filter beyond ASCII", all("№" in row["TITLE"] for row in found) and len(found) > 0, True)
described = portal.call("crm.deal.fields", raw=True)["result"]
check("fields", set(truth["field_names"]) <= set(described), True)
user_fields = portal.get_all("crm.deal.userfield.list")
check("userfield.list", len(user_fields), truth["user_fields"])
print("ok")
