-- Loads pg_trgm into this session: only then may its threshold be set by whoever is no superuser.
do $$ begin perform public.similarity('', ''); end $$;

create or replace function public.drug_names_alike(typed text[])
returns table (core text, drug_id uuid, kind text, name text, folded text, place bigint)
language sql stable parallel safe
set pg_trgm.similarity_threshold = 0.25
as $$
    select t.core, a.drug_id, a.kind, a.name, a.folded, a.place
    from unnest(typed) as t (core)
    cross join lateral (
        select
            n.drug_id, n.kind, n.name, n.folded,
            row_number() over (
                order by public.similarity(n.folded, t.core) desc, n.folded, n.drug_id
            ) as place
        from public.drug_aliases as n
        where n.folded operator(public.%) t.core
        order by place
        limit 60
    ) as a
$$;

alter table public.drug_aliases drop column bare;
drop function public.drug_name_bare(text);
