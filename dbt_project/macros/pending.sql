{#
  What `input` holds that the model has not consumed: a mapping of
    after    the newest lake snapshot the model's rows have consumed, -1 if none
    through  the newest one there is to consume, as of this moment
    ranges   half-open spans of time, [start, end), that cover every touched bucket of `length`, and
             with neighbours=true the bucket before and the one after. They end where the touched
             buckets do, not with the hour: fresh rows then leave the files of older ones unread

  The watermark is in the model's own rows: each carries the newest snapshot of the rows it was made
  from, so watermark and rows commit together, and a rebuild gives the same rows. Commit order is the
  only order that misses nothing: a trade of any age that lands later has a later snapshot.

  Rows that land after this query must wait for the next run (`through`): a run that consumed half a
  commit would never see the other half.

  A file is skipped when its own span lies outside one range, but not when it lies outside an OR of
  ranges, so models scan range by range. At most 24: only the widest gaps are worth leaving out.
#}
{% macro pending(input, snapshot_column, time_column, length, neighbours=false) -%}
    {%- if not execute -%}
        {{ return({"after": -1, "through": -1, "ranges": []}) }}
    {%- endif -%}
    {%- set watermark = run_query("select coalesce(max(src_snapshot), -1) from " ~ this) -%}
    {%- set after = watermark.columns[0].values()[0] -%}
    {%- set query = _pending_query(
        input, snapshot_column, time_column, length, neighbours, after
    ) -%}
    {%- set rows = run_query(query).rows -%}
    {%- set ranges = [] -%}
    {%- for row in rows -%}
        {%- do ranges.append([row[0], row[1]]) -%}
    {%- endfor -%}
    {{ return({"after": after, "through": rows[0][2] if rows else after, "ranges": ranges}) }}
{%- endmacro %}


{% macro _pending_query(input, snapshot_column, time_column, length, neighbours, after) -%}
    {%- set unit = "interval '" ~ (length if length == "1 day" else "1 hour") ~ "'" -%}
    {%- set reach = 1 if neighbours else 0 -%}
    with units as (
        select
            time_bucket({{ unit }}, {{ time_column }}) as unit_start,
            time_bucket(interval '{{ length }}', min({{ time_column }})) as first_bucket,
            time_bucket(interval '{{ length }}', max({{ time_column }})) as last_bucket,
            max({{ snapshot_column }}) as newest
        from {{ input }}
        where {{ snapshot_column }} > {{ after }}
        group by unit_start
    ),

    gaps as (
        select
            *,
            unit_start - lag(unit_start) over (order by unit_start) as gap
        from units
    ),

    starts as (
        select
            *,
            -- Four units apart, so that widened ranges never overlap.
            gap > 4 * {{ unit }}
            and row_number() over (order by gap desc nulls last) < 24 as is_start
        from gaps
    ),

    islands as (
        select
            *,
            count(*) filter (is_start) over (order by unit_start) as island
        from starts
    )

    select
        cast(min(first_bucket) - {{ reach }} * interval '{{ length }}' as varchar) as range_start,
        cast(max(last_bucket) + {{ 1 + reach }} * interval '{{ length }}' as varchar) as range_end,
        max(max(newest)) over () as through
    from islands
    group by island
    order by range_start
{%- endmacro %}
