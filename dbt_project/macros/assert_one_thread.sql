{# DuckLake's extension crashed or failed in 5 of 17 runs with two to four threads. #}
{% macro assert_one_thread() -%}
    {%- if execute and target.threads != 1 -%}
        {{ exceptions.raise_compiler_error(
            "dbt runs on the lake with one thread, not " ~ target.threads ~ "; leave --threads out"
        ) }}
    {%- endif -%}
{%- endmacro %}
