drop function public.merge_patients(uuid, uuid, uuid);
