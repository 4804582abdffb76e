{# Each profile has exactly one point of control. #}
{% test one_point_of_control(model) %}
select
    venue,
    symbol,
    bucket
from {{ model }}
group by venue, symbol, bucket
having count(*) filter (is_point_of_control) <> 1
{% endtest %}
