-- The straightforward search: a pattern over every name, the page by offset, the total by counting. Baseline of
-- the benchmark. It finds exact, prefix and part of one name only: no accents, no order, no errors, no phones.

-- name: search_patients_by_name(clinic_id, pattern, status, skip, take)
-- ILIKE, count(*), offset.
-- returns: many
select n.id, 6 as tier, 1.0::real as score, array['name'] as matched, (
    select count(*) from public.patient as c
    where c.clinic_id = :clinic_id and c.deleted_at is null and c.merged_into is null and c.status = :status
        and (c.given_name || ' ' || c.family_name ilike :pattern or c.family_name || ' ' || c.given_name ilike :pattern)
) as total
from public.patient as n
where n.clinic_id = :clinic_id and n.status = :status and n.deleted_at is null and n.merged_into is null
    and (n.given_name || ' ' || n.family_name ilike :pattern or n.family_name || ' ' || n.given_name ilike :pattern)
order by n.family_name, n.given_name, n.date_of_birth, n.id
limit :take::bigint offset :skip::bigint;
