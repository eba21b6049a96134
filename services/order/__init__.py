"""Takes orders and sees them through, whatever fails on the way.

Owns orders, their lines and their history in its own PostgreSQL database.

Calls product for prices (`ProductService.BatchGetProducts`) and stock (`StockService`), and payment
for money (`PaymentService.Authorize`, `Capture`, `Void`, `Refund`).

Publishes order.created, order.confirmed, order.rejected, order.cancelled, order.expired,
order.refunded, order.shipped and order.delivered (`souk/order/v1/order_events.proto`).
"""
