-- events: an open
INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)
SELECT new_id(), '00000000-0000-7000-8000-000000000001'::uuid, new_id(), new_id(), 'opened',
       jsonb_build_object('verdict', 'human', 'rules', '7', 'client', '198.51.100.' || n % 256,
                          'agent', 'Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15') FROM generate_series(1, $1) n;

-- events: a click
INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)
SELECT new_id(), '00000000-0000-7000-8000-000000000001'::uuid, new_id(), new_id(), 'clicked',
       jsonb_build_object('verdict', 'human', 'rules', '7', 'client', '198.51.100.' || n % 256,
                          'agent', 'Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15', 'link', 3,
                          'target', 'https://shop.example/item/' || n) FROM generate_series(1, $1) n;

-- link_sets: 20 targets of links
INSERT INTO link_sets (id, account_id, targets)
SELECT substr(sha256(n::text::bytea), 1, 10), '00000000-0000-7000-8000-000000000001'::uuid,
       ARRAY(SELECT 'https://shop.example/item/' || m || '?campaign=spring&place=' || n
             FROM generate_series(1, 20) m) FROM generate_series(1, $1) n;

-- webhook_attempts: a request to an endpoint
INSERT INTO webhook_attempts (endpoint_id, batch_id, events, number, result, status, milliseconds)
SELECT new_id(), new_id(), 1, 1, 'taken', 200, n FROM generate_series(1, $1) n;

-- webhook_dead_letters: a dead letter of one event
INSERT INTO webhook_dead_letters (id, endpoint_id, oldest_at, ids, kinds, body)
SELECT new_id(), new_id(), now(), ARRAY[new_id()], '{delivered}',
       convert_to(repeat(md5(n::text), 20), 'UTF8') FROM generate_series(1, $1) n;

-- suppressions: a suppression
INSERT INTO suppressions (account_id, normal, list, address, reason, rule, version, delivery_id)
SELECT '00000000-0000-7000-8000-000000000001'::uuid, 'user' || n || '@dest.example', 'bounce', 'user' || n || '@dest.example',
       '550 5.1.1 user unknown', 'no such user', '7', new_id() FROM generate_series(1, $1) n;

-- idempotency_keys: an idempotency key
INSERT INTO idempotency_keys (account_id, key, submission_id, digest)
SELECT '00000000-0000-7000-8000-000000000001'::uuid, new_id()::text, new_id(), substr(sha256(n::text::bytea), 1, 16)
FROM generate_series(1, $1) n;

-- audit: a line of the audit
INSERT INTO audit (actor, action, account_id, detail)
SELECT 'operator', 'suppression_removed', '00000000-0000-7000-8000-000000000001'::uuid,
       jsonb_build_object('address', 'user' || n || '@dest.example', 'list', 'bounce')
FROM generate_series(1, $1) n;

-- traffic_counts: a count for reports: a set, provider and quarter of an hour
INSERT INTO traffic_counts (account_id, began_at, set_id, provider, class, accepted)
SELECT '00000000-0000-7000-8000-000000000001'::uuid, now() + n * interval '15 minutes', n, 'gmail', '', 1
FROM generate_series(1, $1) n;

-- account_statistics: a count of an account: an hour, stream, provider and class
INSERT INTO account_statistics
SELECT '00000000-0000-7000-8000-000000000001'::uuid, now() + n * interval '1 hour', 'news', 'sender.example', 'gmail', 'delivered',
       '', n FROM generate_series(1, $1) n;
