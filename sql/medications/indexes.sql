-- name: medications_search
-- Words of name, generic name, strength, form and manufacturer; prefixes too.
create index concurrently medications_search on medications using gin (search)

-- name: medications_name_words
-- Names that begin with something; collation "C", so that a prefix is a range.
create index concurrently medications_name_words on medications (name_words)

-- name: medications_name_order
-- The formulary by name, page by page.
create index concurrently medications_name_order on medications (name_order, id)

-- name: medications_similar
-- Trigrams of the first words of name and generic name, for misspelt ones.
create index concurrently medications_similar on medications using gin (
    split_part(name_words, ' ', 1) gin_trgm_ops,
    split_part(generic_words, ' ', 1) gin_trgm_ops
)
