{#
  Opens a WITH whose last CTE, `touched_rows`, holds the rows of `input` that the model works on: all
  of them in a full build; in an incremental run those of every bucket of `length` that has rows the
  model has not consumed. Follow it with a comma and more CTEs.

  neighbours=true is for models whose rows look back into the bucket before theirs: a row then touches
  the bucket after its own as well, and touched_rows holds the bucket before each touched one too.
  Keep the results of touched buckets only, with `semi join touched`.

  in_slices=true is for models of ticks, in which a full build fills the table slice by slice.
#}
{% macro with_touched_rows(
    input, snapshot_column, time_column, length, neighbours=false, in_slices=false
) -%}
{%- if not is_incremental() -%}
with touched_rows as not materialized (
    select *
    from {{ input }}
    {%- if in_slices %}
    where {{ in_slice(time_column) }}
    {%- endif %}
)
{%- else -%}
{%- set todo = pending(input, snapshot_column, time_column, length, neighbours) -%}
with touched as materialized (
    select distinct
        venue,
        symbol,
        time_bucket(interval '{{ length }}', {{ time_column }})
        {%- if neighbours %} + unnest([0, 1]) * interval '{{ length }}'{% endif %} as bucket
    from {{ input }}
    where
        {{ snapshot_column }} > {{ todo.after }}
        and {{ snapshot_column }} <= {{ todo.through }}
),

needed as materialized (
    {%- if neighbours %}
    select distinct
        venue,
        symbol,
        bucket - unnest([0, 1]) * interval '{{ length }}' as bucket
    from touched
    {%- else %}
    select *
    from touched
    {%- endif %}
),

candidates as not materialized (
    {%- for range_start, range_end in todo.ranges %}
    select *
    from {{ input }}
    where
        {{ time_column }} >= timestamp '{{ range_start }}'
        and {{ time_column }} < timestamp '{{ range_end }}'
        and {{ snapshot_column }} <= {{ todo.through }}
    {{ "union all" if not loop.last }}
    {%- else %}
    select *
    from {{ input }}
    where false
    {%- endfor %}
),

touched_rows as materialized (
    select candidates.*
    from candidates
    semi join needed
        on
            candidates.venue = needed.venue
            and candidates.symbol = needed.symbol
            and time_bucket(interval '{{ length }}', candidates.{{ time_column }}) = needed.bucket
)
{%- endif -%}
{%- endmacro %}
