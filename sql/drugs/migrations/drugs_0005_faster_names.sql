-- The same columns in a third of the time, of which an import of 50,000 names has need: repetitions do no harm in an
-- index, a name of one word has no salt beside it, and letters left out are compared byte by byte.

create or replace function public.drug_name_slips(key text) returns text []
language sql immutable strict parallel safe
as $$
    select case
        when length(key) between 6 and 40
            then array(select overlay(key placing '' from place for 1) from generate_series(1, length(key)) as place) || key
        else '{}'::text[]
    end
$$;

create or replace function public.drug_name_bare(folded text) returns text
language sql immutable strict parallel safe
as $$
    select case
        when position(' ' in folded) = 0 then folded
        else coalesce(nullif(btrim(regexp_replace(
            folded,
            '(^| )('
            || 'acetate|besilate|besylate|bitartrate|bromide|calcium|carbonate|chloride|citrate|'
            || 'dihydrate|fumarate|gluconate|hcl|hydrobromide|hydrochloride|lactate|magnesium|'
            || 'maleate|mesilate|mesylate|monohydrate|nitrate|phosphate|potassium|sodium|'
            || 'succinate|sulfate|sulphate|tartrate|trihydrate'
            || ')(?= |$)',
            '', 'g'
        )), ''), folded)
    end
$$;

alter table public.drug_aliases drop column slips;

-- allow: column-rewrite because 200,000 names are rewritten in seconds, and lookups read none meanwhile that is wrong
alter table public.drug_aliases
add column slips text [] collate "C" generated always as (public.drug_name_slips(key)) stored;
