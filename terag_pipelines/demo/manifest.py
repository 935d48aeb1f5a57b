"""The text of the demo bank's source.yaml."""

from __future__ import annotations

from terag_pipelines.demo.panel import EDGES, QUESTIONS, VARIABLES

_FILES = """\
# A demo bank: {people} people, seed {seed}, month {month}. All of it is made up.
# Made by `terag demo make`; the same figures give the same bytes.
name: demo-bank
root: .
country: KZ
currency: KZT
time_zone: Asia/Almaty
max_bad_share: 0.05
files:
  - name: people                 # core banking
    path: people.csv.gz
    holds: people
    fields:
      id: client_id
      family_name: surname
      given_name: first_name
      patronymic: patronymic
      sex: sex
      birth_date: {{column: born, format: "%d.%m.%Y"}}
      iin: iin
      phone: [mobile, other_phone]
      email: email
      locality: city
      street: street
      house: house
      region: region
      postcode: postcode
      first_seen: {{column: client_since, format: "%Y-%m-%d"}}
  - name: applications           # online onboarding
    path: applications.csv.gz
    holds: people
    fields:
      id: application_id
      full_name: full_name
      birth_date: {{column: birth_date, format: "%Y-%m-%d"}}
      iin: iin
      phone: phone
      email: email
      address: address
      first_seen: {{column: applied_on, format: "%Y-%m-%d"}}
  - name: companies
    path: companies.csv.gz
    holds: organisations
    fields:
      id: company_id
      organisation_name: name
      bin: bin
      iin: owner_iin
      phone: phone
      locality: city
      street: street
      house: house
      first_seen: {{column: registered, format: "%d.%m.%Y"}}
  - name: watchlist
    path: watchlist.csv
    holds: watchlist
    party_type: person
    fields:
      id: entry_id
      full_name: full_name
      alias: [name, alias]
      birth_date: {{column: birth_date, format: "%Y-%m-%d"}}
      iin: iin
      country: country
  - name: accounts
    path: accounts.csv.gz
    holds: accounts
    fields:
      id: account_no
      holder: holder
      bank: {{value: OWN}}
      iban: iban
      currency: currency
      opened_on: {{column: opened, format: "%Y-%m-%d"}}
  - name: device_usage
    path: device_usage.csv.gz
    holds: relationships
    fields:
      subject: {{column: client_id, dataset: people}}
      object: device_id
      object_kind: {{value: device}}
      kind: {{value: uses}}
      valid_from: {{column: first_used, format: "%Y-%m-%d"}}
  - name: ownership
    path: ownership.csv.gz
    holds: ownership
    fields:
      subject: holder
      object: company
      kind: relation
      share: share
      valid_from: {{column: since, format: "%Y-%m-%d"}}
  - name: transfers
    path: transfers.parquet
    holds: transfers
    fields:
      id: transfer_id
      source_account: payer_account
      target_account: payee_account
      source_name: payer_name
      target_name: payee_name
      source_bank: payer_bank
      target_bank: payee_bank
      amount: amount
      currency: currency
      occurred_at: booked_at
      channel: channel
      is_cash: cash
      purpose_code: purpose_code
      purpose_text: purpose
      device: device
      ip: ip
  - name: client_panel
    path: client_panel.parquet
    holds: panel
    fields: {{client: {{column: client_id, dataset: people}}, month: month}}
    variables: [{variables}]
  - name: tenants
    path: tenants.csv
    holds: tenants
    fields:
      id: tenant_id
      name: name
      bin: bin
      address: address
      email: email
      plan: plan
      currency: currency
      time_zone: time_zone
      started_on: {{column: started_on, format: "%Y-%m-%d"}}
  - name: usage_events
    path: usage_events.parquet
    holds: usage
    fields: {{id: event_id, tenant: tenant, meter: meter, quantity: quantity, occurred_at: occurred_at}}
  - {{name: price_book, path: price_book.yaml, holds: price_book}}
  # What analysts have reviewed: may be learned from.
  - name: reviewed_pairs
    path: reviewed_pairs.csv
    holds: labels
    label: pair
    use: training
    fields: {{subject: subject, object: object, value: value}}
  - name: reviewed_clients
    path: reviewed_clients.csv
    holds: labels
    label: fraud
    use: training
    fields: {{subject: subject, value: value}}
  # The whole truth: for scores only, nothing learns from it.
"""
_TRUTH = """\
  - name: truth_{name}
    path: truth/{path}
    holds: labels
    label: {label}
    use: truth
    fields: {{{fields}}}
"""
_TRUTHS = (
    ("entities", "entities.csv.gz", "entity", False),
    ("rings", "rings.csv", "ring", False),
    ("fraud", "fraud.csv.gz", "fraud", False),
    ("effects", "effects.csv", "effect", True),
    ("client_effects", "client_effects.csv", "effect", True),
    ("invoices", "invoices.csv", "invoice", True),
)


def write_manifest(people: int, seed: int, month: str) -> str:
    """source.yaml with the true causal graph in its twin section."""
    head = _FILES.format(people=people, seed=seed, month=month, variables=", ".join(VARIABLES))
    truths = "".join(
        _TRUTH.format(
            name=name,
            path=path,
            label=label,
            fields="subject: subject, object: object, value: value"
            if has_object
            else "subject: subject, value: value",
        )
        for name, path, label, has_object in _TRUTHS
    )
    return head + truths + _twin()


def _twin() -> str:
    questions = "".join(
        f"    - {{treatment: {treatment}, outcome: {outcome}}}\n" for treatment, outcome in QUESTIONS
    )
    edges = "".join(f"    - [{cause}, {effect}]\n" for cause, effect in EDGES)
    return f"twin:\n  questions:\n{questions}  edges:\n{edges}"
