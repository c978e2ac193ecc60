/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef METRICS_H
#define METRICS_H

struct json_object;
struct supervisor;

/* {"metrics": what there is to watch, as OpenMetrics has it} */
struct json_object *metrics_json(const struct supervisor *s);

#endif /* METRICS_H */
