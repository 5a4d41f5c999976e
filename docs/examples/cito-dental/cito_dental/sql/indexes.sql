-- name: dental_chairs_floor
-- The chairs of a floor, in their order.
create index concurrently dental_chairs_floor on dental_chairs (clinic_id, floor, name, id)
