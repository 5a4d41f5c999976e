-- name: find_ward(clinic_id, id)
-- One ward by its key.
-- target: 5 ms
-- returns: one
select id, name, floor, facts
from wards
where clinic_id = :clinic_id and id = :id

-- name: list_wards_unfiltered()
-- All wards that the policy lets through: there is no predicate here on purpose.
-- returns: many
select clinic_id, name from wards order by name

-- name: add_ward(clinic_id, id, name, floor, facts)
-- Adds one.
-- returns: rows
insert into wards (clinic_id, id, name, floor, facts)
values (:clinic_id, :id, :name, :floor, :facts)

-- name: rename_ward(clinic_id, id, name)
-- Gives it another name.
-- returns: one
update wards set name = :name
where clinic_id = :clinic_id and id = :id
returning id, name, floor, facts

-- name: add_bed(clinic_id, id, ward_id, label)
-- Adds one.
-- returns: rows
insert into beds (clinic_id, id, ward_id, label) values (:clinic_id, :id, :ward_id, :label)

-- name: echo_types(t, u, i, f, b, n, m, d, y, a, j)
-- Every type there and back.
-- returns: one
select
    :t::text as t,
    :u::uuid as u,
    :i::bigint as i,
    :f::double precision as f,
    :b::boolean as b,
    :n::numeric as n,
    :m::timestamptz as m,
    :d::date as d,
    :y::bytea as y,
    :a::text[] as a,
    :j::jsonb as j

-- name: sleep(seconds)
-- Waits on the server.
-- target: 1 ms
-- returns: one
select 1::int as one from (select pg_sleep(:seconds::double precision)) as slept
