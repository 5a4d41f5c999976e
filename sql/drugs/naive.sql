-- The straightforward twins: one name after the other, every name of every drug is looked through.

-- name: lookup_drugs(folded, part)
-- Drugs that may have this name, as it is written or with its words anywhere in a name.
-- returns: many
select
    id, generic_name, brand_names, keywords, ingredients, classes, schedules,
    prescription_only, is_active, version
from drug_cards
where id in (select drug_id from drug_aliases where lower(name) = :folded or name ilike :part)

-- name: search_drugs(typed, most)
-- Drugs whose generic name looks like this, the most similar first; every one is compared.
-- returns: many
select
    c.id, c.generic_name, c.brand_names, c.keywords, c.ingredients, c.classes, c.schedules,
    c.prescription_only, c.is_active, c.version
from (
    select id, similarity(lower(generic_name), :typed) as alike
    from drugs
    order by alike desc, generic_name
    limit :most::bigint
) as d
inner join drug_cards as c on d.id = c.id
order by d.alike desc, c.generic_name
