drop function public.name_distance(text, text [], text, text);
drop function public.name_sound(text);
