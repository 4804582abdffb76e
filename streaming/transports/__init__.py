"""WebSocket libraries behind `streaming.connection.Transport`, one file each."""
