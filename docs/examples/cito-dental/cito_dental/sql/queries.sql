-- name: list_chairs(clinic_id, floor)
-- The chairs on one floor of a clinic.
-- target: 5 ms
-- example: select clinic_id, floor from dental_chairs limit 1
-- returns: many
select id, floor, name
from dental_chairs
where clinic_id = :clinic_id and floor = :floor
order by name, id
