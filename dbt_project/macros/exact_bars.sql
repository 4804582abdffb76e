{#
  As `exact`, for bars: what is changed of bars that were final goes to ohlc_revisions in the same
  transaction.

  A bar was final if, when this table was last brought up to date, the venue's trades were already
  `final_after_s` past its end. The venue's own time counts, not the clock on the wall: it is right in
  a replay, and after the worker was away. A final bar may also be one that did not exist: a trade in
  a second that was published as empty. History put in front of a symbol's first hour revises nothing.
#}
{% macro get_incremental_exact_bars_sql(arguments) -%}
    {%- set touched = touched_span(arguments.temp_relation) -%}
    {%- if not touched -%}
        select 1 as nothing_to_do
    {%- else -%}
        {{ record_revisions(arguments, touched) }};
        {{ replace_touched(arguments, touched) }}
    {%- endif -%}
{%- endmacro %}


{% macro record_revisions(arguments, touched) -%}
    {%- set target = arguments.target_relation -%}
    {%- set timeframe = target.identifier | replace("ohlc_", "") -%}
    {%- set length = bar_length(timeframe) -%}
    {%- set seconds = target.incorporate(path={"identifier": "ohlc_1s"}) -%}
    {#- Where a symbol's history begins, from the smallest table that knows it. -#}
    {%- set hours = load_relation(target.incorporate(path={"identifier": "ohlc_1h"})) -%}
    {#- As a literal, so that the seconds of older hours are not read. -#}
    {%- set oldest_newest_hour = run_query(
        "select cast(time_bucket(interval '1 hour', min(newest)) as varchar) from"
        ~ " (select max(bucket) as newest from " ~ (hours or target) ~ " group by venue)"
    ).columns[0].values()[0] -%}
    {%- set revisions = ref('ohlc_revisions') -%}
    {%- set measures = ["open", "high", "low", "close", "volume", "trade_count"] -%}
    insert into {{ revisions }}
    with stored as (
        select *
        from {{ target }}
        where bucket between timestamp '{{ touched[0] }}' and timestamp '{{ touched[1] }}'
    ),

    published as (
        select
            venue,
            symbol,
            min(bucket) as first_bucket
        from {{ hours or target }}
        group by venue, symbol
    ),

    -- A venue's time lies in its newest hour; without one of these seconds, at its start at least.
    newest_hours as (
        select
            venue,
            time_bucket(interval '1 hour', max(bucket)) as hour_start
        from {{ hours or target }}
        group by venue
    ),

    clocks as (
        select
            newest_hours.venue,
            coalesce(max(seconds.bucket) + interval '1 second', newest_hours.hour_start)
                as venue_time
        from newest_hours
        left join (
            select *
            from {{ seconds }}
            where
                {%- if oldest_newest_hour %}
                bucket >= timestamp '{{ oldest_newest_hour }}'
                {%- else %}
                false
                {%- endif %}
                {%- if target.identifier != seconds.identifier %}
                and src_snapshot <= (select max(src_snapshot) from {{ target }})
                {%- endif %}
        ) as seconds
            on newest_hours.venue = seconds.venue
        group by newest_hours.venue, newest_hours.hour_start
    )

    select
        fresh.venue,
        fresh.symbol,
        '{{ timeframe }}' as timeframe,
        fresh.bucket,
        cast(now() as timestamp) as revised_at,
        fresh.src_snapshot,
        {%- for measure in measures %}
        stored.{{ measure }} as old_{{ measure }},
        fresh.{{ measure }} as new_{{ measure }}{{ "," if not loop.last }}
        {%- endfor %}
    from {{ arguments.temp_relation }} as fresh
    inner join clocks on fresh.venue = clocks.venue
    inner join published
        on fresh.venue = published.venue and fresh.symbol = published.symbol
    left join stored
        on
            fresh.venue = stored.venue
            and fresh.symbol = stored.symbol
            and fresh.bucket = stored.bucket
    where
        fresh.bucket >= published.first_bucket
        and clocks.venue_time
        >= fresh.bucket + interval '{{ length }}' + to_seconds({{ setting('final_after_s') }})
        and (
            {%- for measure in measures %}
            {{ "or " if not loop.first }}stored.{{ measure }} is distinct from fresh.{{ measure }}
            {%- endfor %}
        )
{%- endmacro %}


{% macro bar_length(timeframe) -%}
    {{ return({"1s": "1 second", "1m": "1 minute", "5m": "5 minutes", "1h": "1 hour"}[timeframe]) }}
{%- endmacro %}
