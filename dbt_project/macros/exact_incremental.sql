{# Replace the touched rows, in one transaction; nothing at all if nothing was touched. #}
{% macro get_incremental_exact_sql(arguments) -%}
    {%- set touched = touched_span(arguments.temp_relation) -%}
    {%- if not touched -%}
        select 1 as nothing_to_do
    {%- else -%}
        {{ replace_touched(arguments, touched) }}
    {%- endif -%}
{%- endmacro %}


{# The first and last bucket of the new rows, or none if there are none. #}
{% macro touched_span(new_rows) -%}
    {%- set row = run_query(
        "select cast(min(bucket) as varchar), cast(max(bucket) as varchar) from " ~ new_rows
    ).rows[0] -%}
    {{ return(row if row[0] is not none else none) }}
{%- endmacro %}


{% macro replace_touched(arguments, touched) -%}
    {%- set target = arguments.target_relation -%}
    {%- set new_rows = arguments.temp_relation -%}
    {%- set columns = get_quoted_csv(arguments.dest_columns | map(attribute="name")) -%}
    delete from {{ target }} as stored
    using {{ new_rows }} as fresh
    where
        stored.bucket between timestamp '{{ touched[0] }}' and timestamp '{{ touched[1] }}'
        {%- for key in arguments.unique_key %}
        and stored.{{ key }} = fresh.{{ key }}
        {%- endfor %};
    insert into {{ target }} ({{ columns }})
    select {{ columns }}
    from {{ new_rows }}
{%- endmacro %}
