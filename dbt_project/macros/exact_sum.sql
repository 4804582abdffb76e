{#
  A sum whose result does not depend on the order of its rows, which a sum of doubles does: a table
  must equal its rebuild to the last bit. Each value is rounded to a whole number of 1 / scale (the
  cast does that, halves to the even one) and whole numbers are added. 1e8 is the unit in which venues
  quote quantities.

  condition: count only rows where it holds.
  over: the name of a window, for a running sum.
#}
{% macro exact_sum(expression, condition=none, over=none, scale="1e8") -%}
    coalesce(
        cast(
            sum(cast({{ expression }} * {{ scale }} as hugeint))
            {%- if condition %} filter ({{ condition }}){% endif %}
            {%- if over %} over {{ over }}{% endif %} as double
        ), 0
    ) / {{ scale }}
{%- endmacro %}
