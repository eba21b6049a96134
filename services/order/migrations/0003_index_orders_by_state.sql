-- The staff looks for orders by their state, of which some are rare.
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_by_state
    ON orders (state, create_time DESC, order_id DESC);
