-- What one writes first: substrings, and a second query for the total. It finds other things (no "81 mg" in
-- "81mg", "asp" inside of words), so it is a measure of cost only.

-- name: search_page(pattern, past, size)
-- A page.
-- returns: many
select * from medications
where name ilike :pattern or generic_name ilike :pattern or ndc ilike :pattern
order by name
limit :size::bigint offset :past::bigint

-- name: search_total(pattern)
-- The total.
-- returns: one
select count(*) as total from medications
where name ilike :pattern or generic_name ilike :pattern or ndc ilike :pattern
