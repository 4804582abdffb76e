{#
  A sum whose result does not depend on the order of its rows, which a sum of doubles does: bars must
  equal their rebuild to the last bit. Whole numbers of 1e-8 are added, the unit in which venues quote
  quantities.
#}
{% macro exact_sum(expression, condition=none) -%}
    coalesce(
        cast(
            sum(cast(round({{ expression }} * 1e8) as hugeint))
            {%- if condition %} filter ({{ condition }}){% endif %} as double
        ), 0
    ) / 1e8
{%- endmacro %}
