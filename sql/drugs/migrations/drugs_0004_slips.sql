-- One slip of a finger is looked up, not searched for: two names with a letter more, less, other or swapped share a
-- writing that leaves one letter out. Trigrams are for what is farther away. cito.plugins.drugs.folding does the same.

create function public.drug_name_slips(key text) returns text []
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

-- allow: column-rewrite because 200,000 names are rewritten in seconds, and lookups read none meanwhile that is wrong
alter table public.drug_aliases
add column slips text [] generated always as (public.drug_name_slips(key)) stored;
