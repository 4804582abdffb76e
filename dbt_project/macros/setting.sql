{# A number from the pipeline's settings; quant_pipeline/dbt_plugin.py hands them over. #}
{% macro setting(name) -%}
    {%- if execute -%}
        {{ return(run_query("select getvariable('" ~ name ~ "')").columns[0].values()[0]) }}
    {%- endif -%}
    {{ return(0) }}
{%- endmacro %}
