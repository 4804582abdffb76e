{#
  As dbt-duckdb's, but a table of the lake is created and filled in one transaction, and what reads
  `touched_rows` of many ticks is filled in slices of whole days: memory then grows with the busiest
  days and not with the history. Such models have a contract, which names their columns.
#}
{% macro duckdb__create_table_as(
    temporary, relation, compiled_code, language='sql', partitioned_by=none, sorted_by=none
) -%}
    {%- set create = dbt.duckdb__create_table_as(
        temporary, relation, compiled_code, language, partitioned_by, sorted_by
    ) -%}
    {%- if not sorted_by -%}
        {{ create }}
    {%- elif "slice_start" not in compiled_code -%}
        begin;
        {{ create }}
        commit;
    {%- else -%}
        {%- set cuts = slice_cuts() -%}
        begin;
        set variable slice_snapshot = (select id from ducklake_current_snapshot('{{ relation.database }}'));
        {{ begin_slice('-infinity', (cuts + ['infinity'])[0]) }}
        {{ create }}
        {%- for cut in cuts %}
        {{ begin_slice(cut, (cuts + ['infinity'])[loop.index]) }}
        insert into {{ relation }} {{ get_column_names() }} (
            {{ get_select_subquery(compiled_code) }}
        );
        {%- endfor %}
        commit;
    {%- endif -%}
{%- endmacro %}


{% macro begin_slice(start, end) -%}
    set variable slice_start = timestamp '{{ start }}';
    set variable slice_end = timestamp '{{ end }}';
    set variable slice_is_searched = ({{ slice_is_searched() }});
{%- endmacro %}


{#
  Whether maintenance has looked for copies among all ticks of the slice, and found none on its days
  (quant_pipeline/copies.py). NULL if it never looked.

  The files asked about are those that the transaction sees: its snapshot was taken before.
#}
{% macro slice_is_searched() -%}
    with files as (
        {{ tick_files("getvariable('slice_snapshot')") }}
    )

    select
        as_of_snapshot >= (
            select max(newest_snapshot)
            from files
            where coalesce({{ in_slice('day') }}, true)
        )
        and len(list_filter(copied_days, lambda day: {{ in_slice('day') }})) = 0
    from {{ source('raw', 'copy_searches') }}
    order by as_of_snapshot desc
    limit 1
{%- endmacro %}


{# That `time` lies in the slice that is being filled; true if the table is filled at once. #}
{% macro in_slice(time) -%}
    {{ time }} >= coalesce(getvariable('slice_start'), timestamp '-infinity')
    and {{ time }} < coalesce(getvariable('slice_end'), timestamp 'infinity')
{%- endmacro %}


{#
  Days at which to cut the history, so that a slice has days of some `ticks_per_slice` ticks, one at
  least.
#}
{% macro slice_cuts() -%}
    {%- set query -%}
        with files as (
            {{ tick_files() }}
        ),

        days as (
            select
                day,
                sum(sum(ticks)) over (order by day) - sum(ticks) as earlier
            from files
            group by day
        )

        select cast(min(day) as varchar) as cut
        from days
        group by earlier // {{ var('ticks_per_slice') }}
        order by cut
    {%- endset -%}
    {{ return(run_query(query).columns[0].values()[1:] | list) }}
{%- endmacro %}


{#
  The files of raw.ticks as of a lake snapshot, the newest if none is named, from the catalog: the
  day, which all ticks of a file share, how many they are, and the snapshot of the newest of them.
#}
{% macro tick_files(snapshot=none) -%}
    {%- set catalog = "__ducklake_metadata_lake.ducklake" -%}
    select
        -- Not `cast`: it is tried on other columns' spans before they are left out.
        cast(try_cast(spans.min_value as timestamp) as date) as day,
        files.record_count as ticks,
        -- A merged file begins with the oldest of its ticks.
        coalesce(files.partial_max, files.begin_snapshot) as newest_snapshot
    from {{ catalog }}.ducklake_data_file as files
    inner join {{ catalog }}.ducklake_file_column_stats as spans using (table_id, data_file_id)
    inner join {{ catalog }}.ducklake_column as columns using (table_id, column_id)
    inner join {{ catalog }}.ducklake_table as tables using (table_id)
    inner join {{ catalog }}.ducklake_schema as schemas using (schema_id)
    where
        schemas.schema_name = 'raw'
        and tables.table_name = 'ticks'
        and columns.column_name = 'ts'
        and columns.end_snapshot is null
        and tables.end_snapshot is null
        and schemas.end_snapshot is null
        {%- if snapshot %}
        and files.begin_snapshot <= {{ snapshot }}
        and (files.end_snapshot is null or files.end_snapshot > {{ snapshot }})
        {%- else %}
        and files.end_snapshot is null
        {%- endif %}
{%- endmacro %}
