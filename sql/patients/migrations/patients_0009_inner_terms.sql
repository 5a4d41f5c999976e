-- Three letters are searched for most, and match most words: by what they begin with or have inside. One term says so
-- instead of the hundreds of words that a large clinic has for them: of each word what lies inside it, three letters at
-- a time, and of words written as one, the first two letters.
create function public.patient_name_inner_terms(words text [], own integer, seed bigint) returns bigint []
language sql immutable strict parallel safe
begin atomic
    select coalesce(array_agg(distinct hashtextextended(term, seed)), '{}')
    from (
        select '*' || substr(w, i, 3) as term from unnest(words) as w, generate_series(2, length(w) - 2) as i
        union all
        select '^' || left(w, 2) from unnest(words[own + 1:]) as w
    ) as t;
end;

create or replace function public.patient_name_terms(
    words text [], own integer, full_name text, turned text, seed bigint
) returns bigint []
language sql immutable strict parallel safe
begin atomic
    select array_agg(distinct hashtextextended(term, seed)) || public.patient_name_inner_terms(words, own, seed)
    from (
        select w as term from unnest(words) as w
        union all select '^' || left(w, 1) from unnest(words[:own]) as w
        union all select '^' || left(w, 2) from unnest(words[:own]) as w where length(w) >= 2
        union all select '^' || left(w, 3) from unnest(words) as w where length(w) >= 3
        union all values ('=' || full_name), ('~' || turned)
    ) as t;
end;

-- Those who are there already; as cito_search, for row-level security shows them to nobody else.
create function public.add_inner_terms() returns void
language sql security definer
set search_path = pg_catalog, public
begin atomic
    update public.patient_name as n
    set terms = n.terms || public.patient_name_inner_terms(
        n.words, n.own_words, public.patient_clinic_seed(n.clinic_id)
    );
end;
alter function public.add_inner_terms() owner to cito_search;
select public.add_inner_terms();
drop function public.add_inner_terms();
