alter table public.drug_aliases drop column slips;
drop function public.drug_name_slips(text);
