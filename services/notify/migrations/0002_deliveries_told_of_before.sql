-- After a restore the outbox holds, read back from the topic, what this service told of deliveries that its own
-- tables have forgotten or still take for unsent.
create index outbox_delivered on outbox (subject) where type = 'uk.nhs.quality.notification.delivered.v1';
