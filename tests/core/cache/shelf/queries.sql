-- name: find_item(clinic_id, id)
-- One item.
-- returns: one
select id, name, version from items where clinic_id = :clinic_id and id = :id

-- name: find_items(clinic_id, ids)
-- Several items.
-- returns: many
select id, name, version from items where clinic_id = :clinic_id and id = any(:ids)

-- name: list_items(clinic_id)
-- All items.
-- returns: many
select id, name, version from items where clinic_id = :clinic_id order by id

-- name: rename_item(clinic_id, id, name)
-- Changes an item.
-- returns: rows
update items set name = :name, version = version + 1 where clinic_id = :clinic_id and id = :id

-- name: add_item(clinic_id, id, name)
-- Adds an item.
-- returns: rows
insert into items (clinic_id, id, name) values (:clinic_id, :id, :name)

-- name: renamed_item(clinic_id, id)
-- Makes the next version of an item.
-- returns: one
update items set version = version + 1 where clinic_id = :clinic_id and id = :id returning id, name, version
