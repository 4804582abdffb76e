{#
  `ticks` with each trade once, as a CTE body. A trade landed twice (two writers, a backfill over a
  captured hour) has copies that say the same; the one received first is kept, with the newest of
  their snapshots.

  Copies are rare, and grouping every trade by its id costs several times the rest of a rebuild. So
  ids are first looked at in blocks of 64: a bit per id, and fewer bits than rows tell, exactly, that
  a block holds copies. Only those blocks are grouped.

  in_slices=true: `ticks` are the touched_rows of a model that is built in slices. A slice which
  maintenance has looked through, and found none in, is not looked through again.
#}
{% macro distinct_trades(ticks, in_slices=false) -%}
    with copied as materialized (
        {{ copied_blocks(ticks, in_slices) }}
    )

    select
        ticks.venue,
        ticks.symbol,
        ticks.trade_id,
        ticks.ts,
        ticks.price,
        ticks.quantity,
        ticks.is_buyer_maker,
        ticks.landed_snapshot
    from {{ ticks }} as ticks
    anti join copied on {{ block_of('ticks') }} = copied.block
    union all
    select
        ticks.venue,
        ticks.symbol,
        ticks.trade_id,
        arg_min(ticks.ts, ticks.received_at) as ts,
        arg_min(ticks.price, ticks.received_at) as price,
        arg_min(ticks.quantity, ticks.received_at) as quantity,
        arg_min(ticks.is_buyer_maker, ticks.received_at) as is_buyer_maker,
        max(ticks.landed_snapshot) as landed_snapshot
    from {{ ticks }} as ticks
    semi join copied on {{ block_of('ticks') }} = copied.block
    -- By second as well: a run sees whole seconds, so that is what a rebuild may compare too.
    group by ticks.venue, ticks.symbol, ticks.trade_id, date_trunc('second', ticks.ts)
{%- endmacro %}


{# The blocks of `ticks` that hold copies, if they do not share their number with another. #}
{% macro copied_blocks(ticks, in_slices=false) -%}
    select {{ block_of('ticks') }} as block
    from {{ ticks }} as ticks
    {%- if in_slices and not is_incremental() %}
    where not coalesce(getvariable('slice_is_searched'), false)
    {%- endif %}
    group by block
    having bit_count(bit_or(cast(1 as ubigint) << cast(ticks.trade_id & 63 as ubigint))) < count(*)
{%- endmacro %}


{#
  The block of 64 ids that a trade is of, as one number, which groups faster than three columns. Blocks
  that share a number are taken for one: copies are not missed, a block without any may be taken along.
#}
{% macro block_of(ticks) -%}
    xor(hash({{ ticks }}.venue, {{ ticks }}.symbol), cast({{ ticks }}.trade_id >> 6 as ubigint))
{%- endmacro %}
