-- The terms as they were before; those that rows have in addition find nothing, and hurt nobody.
-- What intersections compare, see patient_name.
create or replace function public.patient_name_terms(words text [], own integer, full_name text, turned text, seed bigint)
returns bigint []
language sql immutable strict parallel safe
begin atomic
    select array_agg(distinct hashtextextended(term, seed))
    from (
        select w as term from unnest(words) as w
        union select '^' || left(w, 1) from unnest(words[:own]) as w
        union select '^' || left(w, 2) from unnest(words[:own]) as w where length(w) >= 2
        union select '^' || left(w, 3) from unnest(words) as w where length(w) >= 3
        union values ('=' || full_name), ('~' || turned)
    ) as t;
end;

drop function public.patient_name_inner_terms(text [], integer, bigint);
