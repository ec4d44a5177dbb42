import t from 'tap'
import { shellVariables } from '../../src/boot/shell-variables.ts'
import { parseBootWords } from '../../src/cli/words.ts'

const variables = (line: string) => shellVariables(parseBootWords(line)).split('\n')

t.test('scripts learn what the words say', async (t) => {
  t.strictSame(variables('root=netcow:http://s/i rd.netcow.timeout=90'), [
    'netcow_root=/dev/netcow/root',
    'netcow_mode=rw',
    'netcow_network=yes',
    'netcow_timeout=90',
  ])
  t.strictSame(variables('rd.netcow=LABEL=x:/i root=LABEL=y ro'), [
    'netcow_root=',
    'netcow_mode=ro',
    'netcow_network=',
    'netcow_timeout=',
  ])
})

t.test('nothing but a number of seconds gets into a script', async (t) => {
  t.throws(() => variables('netcow=http://s/i netcow.timeout=$(reboot)'), /timeout= takes/)
})
