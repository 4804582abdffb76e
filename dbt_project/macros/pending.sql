{#
  What `input` holds that the model has not consumed: a mapping of
    after    the newest lake snapshot the model's rows have consumed, -1 if none
    through  the newest one there is to consume, as of this moment
    ranges   half-open spans of time, [start, end), that cover all that is to be consumed

  The watermark is in the model's own rows: each carries the newest snapshot of the rows it was made
  from, so watermark and rows commit together, and a rebuild gives the same rows. Commit order is the
  only order that misses nothing: a trade of any age that lands later has a later snapshot.

  Rows that land after this query must wait for the next run (`through`): a run that consumed half a
  commit would never see the other half.

  A file is skipped when its own span lies outside one range, but not when it lies outside an OR of
  ranges, so models scan range by range. At most 24: the widest gaps are left out.
#}
{% macro pending(input, snapshot_column, time_column) -%}
    {%- if not execute -%}
        {{ return({"after": -1, "through": -1, "ranges": []}) }}
    {%- endif -%}
    {%- set after = run_query("select coalesce(max(src_snapshot), -1) from " ~ this).columns[0].values()[0] -%}
    {%- set query -%}
        with hours as (
            select
                time_bucket(interval '1 hour', {{ time_column }}) as hour_start,
                max({{ snapshot_column }}) as newest
            from {{ input }}
            where {{ snapshot_column }} > {{ after }}
            group by hour_start
        ),

        gaps as (
            select
                hour_start,
                newest,
                hour_start - lag(hour_start) over (order by hour_start) as gap
            from hours
        ),

        starts as (
            select
                hour_start,
                newest,
                gap > interval '1 hour' and row_number() over (order by gap desc nulls last) < 24 as is_start
            from gaps
        ),

        islands as (
            select
                hour_start,
                newest,
                count(*) filter (is_start) over (order by hour_start) as island
            from starts
        )

        select
            cast(min(hour_start) as varchar) as range_start,
            cast(max(hour_start) + interval '1 hour' as varchar) as range_end,
            max(max(newest)) over () as through
        from islands
        group by island
        order by range_start
    {%- endset -%}
    {%- set rows = run_query(query).rows -%}
    {%- set ranges = [] -%}
    {%- for row in rows -%}
        {%- do ranges.append([row[0], row[1]]) -%}
    {%- endfor -%}
    {{ return({
        "after": after,
        "through": rows[0][2] if rows else after,
        "ranges": ranges,
    }) }}
{%- endmacro %}


{# The rows of `input` within the pending ranges, none of them newer than `through`. #}
{% macro rows_in_ranges(input, snapshot_column, time_column, todo) -%}
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
{%- endmacro %}


{# Which (venue, symbol, bucket) have rows that the model has not consumed. #}
{% macro touched_buckets(input, snapshot_column, time_column, todo, length) -%}
    select distinct
        venue,
        symbol,
        time_bucket(interval '{{ length }}', {{ time_column }}) as bucket
    from {{ input }}
    where
        {{ snapshot_column }} > {{ todo.after }}
        and {{ snapshot_column }} <= {{ todo.through }}
{%- endmacro %}
