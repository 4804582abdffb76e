{# An expression that is true of every row; NULL counts as false. #}
{% test every_row(model, satisfies) %}
select *
from {{ model }}
where ({{ satisfies }}) is not true
{% endtest %}
