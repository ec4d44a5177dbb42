import { Clusters, type Entries } from './clusters.ts'
import type { Geometry } from './geometry.ts'
import type { Qcow2Head } from './head.ts'
import { Subclusters } from './subclusters.ts'

/** How the L2 tables of this image are read. */
export function entriesOf({ header, features }: Qcow2Head, geometry: Geometry): Entries {
  return features.extendedL2
    ? new Subclusters(geometry, features.dataFile)
    : new Clusters(geometry, header.version, features.dataFile)
}
