-- The inverted ones keep no list of pending entries: after an import every lookup would read it whole.

-- name: drug_aliases_key
-- A typed name is found by its key, and names that begin with it are a range.
create index concurrently drug_aliases_key on drug_aliases (key text_pattern_ops, kind)

-- name: drug_aliases_contained
-- Trigrams of folded names: for what is in the middle of a generic name, a brand or a keyword.
create index concurrently drug_aliases_contained on drug_aliases using gin (folded gin_trgm_ops)
with (fastupdate = off)

-- name: drug_aliases_bare
-- Trigrams of names without their salts: for what is misspelt.
create index concurrently drug_aliases_bare on drug_aliases using gin (bare gin_trgm_ops) with (fastupdate = off)

-- name: drug_aliases_slips
-- Names by their writings with one letter left out: for what is one slip away.
create index concurrently drug_aliases_slips on drug_aliases using gin (slips) with (fastupdate = off)

-- name: drugs_active_generic
-- The active drugs by generic name, page by page.
create index concurrently drugs_active_generic on drugs (is_active, generic_key)

-- name: drugs_ingredients
-- Drugs by what they are made of.
create index concurrently drugs_ingredients on drugs using gin (ingredient_keys) with (fastupdate = off)

-- name: drugs_classes
-- Drugs by class.
create index concurrently drugs_classes on drugs using gin (classes) with (fastupdate = off)

-- name: drug_schedules_schedule
-- Drugs by schedule.
create index concurrently drug_schedules_schedule on drug_schedules (schedule, drug_id)
