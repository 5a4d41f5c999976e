-- Brings drugs in from files. Everything happens in one transaction, as the owner.

-- name: drugs_are_filled()
-- Whether any drug is there.
-- returns: one
select exists (select from drugs) as filled

-- name: lock_drugs()
-- Nobody else changes the vocabulary meanwhile; everybody may read it.
-- returns: rows
lock table drugs in share row exclusive mode

-- name: long_lists()
-- Indexes that gather may gather a whole file before anyone enters it.
-- returns: rows
set local gin_pending_list_limit = '512MB'

-- name: stored_drugs()
-- The whole vocabulary, to be merged with a file.
-- returns: many
select
    id, generic_name, brand_names, keywords, ingredients, classes, schedules,
    prescription_only, is_active, version
from drug_cards

-- name: stage_drugs()
-- Where COPY puts drugs.
-- returns: rows
create temporary table staged_drugs (
    id uuid, generic_name text, generic_key text, ingredients text[], ingredient_keys text[], classes text[],
    prescription_only boolean, is_active boolean
) on commit drop

-- name: stage_names()
-- Where COPY puts names.
-- returns: rows
create temporary table staged_names (
    drug_id uuid, kind text, name text, folded text, key text, place smallint
) on commit drop

-- name: stage_schedules()
-- Where COPY puts schedules.
-- returns: rows
create temporary table staged_schedules (drug_id uuid, jurisdiction text, schedule text) on commit drop

-- name: copy_drugs()
-- Takes drugs.
-- returns: rows
copy staged_drugs from stdin

-- name: copy_names()
-- Takes names.
-- returns: rows
copy staged_names from stdin

-- name: copy_schedules()
-- Takes schedules.
-- returns: rows
copy staged_schedules from stdin

-- name: merge_drugs()
-- Adds the new drugs, changes the others.
-- returns: rows
insert into drugs (
    id, generic_name, generic_key, ingredients, ingredient_keys, classes, prescription_only, is_active
)
select id, generic_name, generic_key, ingredients, ingredient_keys, classes, prescription_only, is_active
from staged_drugs
on conflict (id) do update set
    generic_name = excluded.generic_name,
    generic_key = excluded.generic_key,
    ingredients = excluded.ingredients,
    ingredient_keys = excluded.ingredient_keys,
    classes = excluded.classes,
    prescription_only = excluded.prescription_only,
    is_active = excluded.is_active,
    version = drugs.version + 1,
    updated_at = now()

-- name: clear_names()
-- Takes the names of the changed drugs.
-- returns: rows
delete from drug_aliases where drug_id in (select id from staged_drugs)

-- name: merge_names()
-- Gives the drugs their names.
-- returns: rows
insert into drug_aliases (drug_id, kind, name, folded, key, place)
select drug_id, kind, name, folded, key, place from staged_names

-- name: clear_schedules()
-- Takes the schedules of the changed drugs.
-- returns: rows
delete from drug_schedules where drug_id in (select id from staged_drugs)

-- name: merge_schedules()
-- Says where the drugs are controlled.
-- returns: rows
insert into drug_schedules (drug_id, jurisdiction, schedule)
select drug_id, jurisdiction, schedule from staged_schedules

-- name: analyze_drugs()
-- Tells the planner what is there now.
-- returns: rows
analyze drugs, drug_aliases, drug_schedules

-- name: gather_contained()
-- New names wait in a list.
-- returns: rows
alter index if exists drug_aliases_contained set (fastupdate = on)

-- name: scatter_contained()
-- New names are entered one by one again.
-- returns: rows
alter index if exists drug_aliases_contained set (fastupdate = off)

-- name: enter_contained()
-- What waits in the list is entered.
-- returns: rows
select gin_clean_pending_list(index) from to_regclass('drug_aliases_contained') as index where index is not null

-- name: gather_bare()
-- New names wait in a list.
-- returns: rows
alter index if exists drug_aliases_bare set (fastupdate = on)

-- name: scatter_bare()
-- New names are entered one by one again.
-- returns: rows
alter index if exists drug_aliases_bare set (fastupdate = off)

-- name: enter_bare()
-- What waits in the list is entered.
-- returns: rows
select gin_clean_pending_list(index) from to_regclass('drug_aliases_bare') as index where index is not null

-- name: gather_slips()
-- New names wait in a list.
-- returns: rows
alter index if exists drug_aliases_slips set (fastupdate = on)

-- name: scatter_slips()
-- New names are entered one by one again.
-- returns: rows
alter index if exists drug_aliases_slips set (fastupdate = off)

-- name: enter_slips()
-- What waits in the list is entered.
-- returns: rows
select gin_clean_pending_list(index) from to_regclass('drug_aliases_slips') as index where index is not null
