-- Similar names are looked for without the names of salts: a quarter of a large vocabulary may be called "hydrochloride",
-- and all of these look alike. The words stand in cito.plugins.drugs.folding too.

create function public.drug_name_bare(folded text) returns text
language sql immutable strict parallel safe
as $$
    select coalesce(nullif(btrim(regexp_replace(
        folded,
        '(^| )('
        || 'acetate|besilate|besylate|bitartrate|bromide|calcium|carbonate|chloride|citrate|'
        || 'dihydrate|fumarate|gluconate|hcl|hydrobromide|hydrochloride|lactate|magnesium|'
        || 'maleate|mesilate|mesylate|monohydrate|nitrate|phosphate|potassium|sodium|'
        || 'succinate|sulfate|sulphate|tartrate|trihydrate'
        || ')(?= |$)',
        '', 'g'
    )), ''), folded)
$$;

-- allow: column-rewrite because 200,000 names are rewritten in seconds, and lookups read none meanwhile that is wrong
alter table public.drug_aliases
add column bare text generated always as (public.drug_name_bare(folded)) stored;

-- Loads pg_trgm into this session: only then may its threshold be set by whoever is no superuser.
do $$ begin perform public.similarity('', ''); end $$;

create or replace function public.drug_names_alike(typed text[])
returns table (core text, drug_id uuid, kind text, name text, folded text, place bigint)
language sql stable parallel safe
set pg_trgm.similarity_threshold = 0.25
as $$
    select t.core, a.drug_id, a.kind, a.name, a.folded, a.place
    from (select typed_core as core, public.drug_name_bare(typed_core) as bare from unnest(typed) as typed_core) as t
    cross join lateral (
        select
            n.drug_id, n.kind, n.name, n.folded,
            row_number() over (
                order by public.similarity(n.bare, t.bare) desc, n.folded, n.drug_id
            ) as place
        from public.drug_aliases as n
        where n.bare operator(public.%) t.bare
        order by place
        limit 60
    ) as a
$$;
