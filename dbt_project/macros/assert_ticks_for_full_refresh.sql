{# A full refresh makes bars of the ticks in the lake: those of archived days would be lost. #}
{% macro assert_ticks_for_full_refresh() -%}
    {%- if execute and flags.FULL_REFRESH -%}
        {%- set days = run_query(
            "select count(distinct day), min(day) from " ~ source('raw', 'archived_days')
        ).rows[0] -%}
        {%- if days[0] -%}
            {{ exceptions.raise_compiler_error(
                "the ticks of " ~ days[0] ~ " days are archived (the first is " ~ days[1] ~ "): a full "
                ~ "refresh would lose their bars; bring them back first with `quant restore`"
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
