{#
  Quote volume per unit of base volume. It lies between low and high; rounding may put the quotient
  a last digit outside, so it is held there. NULL if nothing was traded.
#}
{% macro vwap() -%}
    greatest(low, least(high, quote_volume / nullif(volume, 0)))
{%- endmacro %}
