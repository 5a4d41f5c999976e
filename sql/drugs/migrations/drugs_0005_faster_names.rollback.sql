alter table public.drug_aliases drop column slips;

create or replace function public.drug_name_slips(key text) returns text []
language sql immutable strict parallel safe
as $$
    select case
        when length(key) between 6 and 40 then array(
            select overlay(key placing '' from place for 1) from generate_series(1, length(key)) as place
            union
            select key
        )
        else '{}'::text[]
    end
$$;

create or replace function public.drug_name_bare(folded text) returns text
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

alter table public.drug_aliases
add column slips text [] generated always as (public.drug_name_slips(key)) stored;
