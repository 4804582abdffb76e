"""The local exchange: recorded or synthetic markets behind Binance's protocol."""
