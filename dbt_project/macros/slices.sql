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
        set variable slice_start = timestamp '-infinity';
        set variable slice_end = timestamp '{{ (cuts + ['infinity'])[0] }}';
        {{ create }}
        {%- for cut in cuts %}
        set variable slice_start = timestamp '{{ cut }}';
        set variable slice_end = timestamp '{{ (cuts + ['infinity'])[loop.index] }}';
        insert into {{ relation }} {{ get_column_names() }} (
            {{ get_select_subquery(compiled_code) }}
        );
        {%- endfor %}
        commit;
    {%- endif -%}
{%- endmacro %}


{# That `time` lies in the slice that is being filled; true if the table is filled at once. #}
{% macro in_slice(time) -%}
    {{ time }} >= coalesce(getvariable('slice_start'), timestamp '-infinity')
    and {{ time }} < coalesce(getvariable('slice_end'), timestamp 'infinity')
{%- endmacro %}


{#
  Days at which to cut the history, so that a slice has days of some `ticks_per_slice` ticks, one at
  least. The catalog knows the rows of each file, and a file's ticks are of one day.
#}
{% macro slice_cuts() -%}
    {%- set catalog = "__ducklake_metadata_lake.ducklake" -%}
    {%- set query -%}
        with files as (
            select
                cast(cast(spans.min_value as timestamp) as date) as day,
                files.record_count
            from {{ catalog }}.ducklake_data_file as files
            inner join {{ catalog }}.ducklake_file_column_stats as spans using (table_id, data_file_id)
            inner join {{ catalog }}.ducklake_column as columns using (table_id, column_id)
            inner join {{ catalog }}.ducklake_table as tables using (table_id)
            inner join {{ catalog }}.ducklake_schema as schemas using (schema_id)
            where
                schemas.schema_name = 'raw'
                and tables.table_name = 'ticks'
                and columns.column_name = 'ts'
                and files.end_snapshot is null
                and columns.end_snapshot is null
                and tables.end_snapshot is null
                and schemas.end_snapshot is null
        ),

        days as (
            select
                day,
                sum(sum(record_count)) over (order by day) - sum(record_count) as earlier
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
